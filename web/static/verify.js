// Checks a sample's evidence in this browser: WebCrypto only, no dependency, nothing is sent anywhere.
// The same checks as `provenance verify`, but for ML-DSA-44 lines, which no browser verifies yet: it says so.
// Sections in comments: RFC 9162 (tree), RFC 8785 (canonical JSON), DSSE, c2sp.org/signed-note and /tlog-proof.

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
const PREDICATE = kind => `https://provenance-ledger.dev/${kind}/v1`;
const DOMAINS = { prompt: "provenance-ledger/prompt/v1", completion: "provenance-ledger/completion/v1" };
const ED25519 = 0x01, ML_DSA_44 = 0x06;

class Unsure extends Error {} // neither right nor wrong: it could not be checked here

const fail = message => { throw new Error(message); };
const need = (condition, message) => condition || fail(message);

// --- Bytes ---

export const hex = bytes => Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("");

export function fromHex(text) {
  need(/^([0-9a-f]{2})*$/.test(text), "not lower-case hex");
  return Uint8Array.from(text.match(/../g) ?? [], pair => Number.parseInt(pair, 16));
}

export function fromBase64(text) {
  let raw;
  try { raw = atob(text); } catch { fail("not base64"); }
  need(btoa(raw) === text, "base64 that does not encode back to itself");
  return Uint8Array.from(raw, character => character.charCodeAt(0));
}

function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

const equal = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

export const sha256 = async bytes => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

// --- Canonical JSON (RFC 8785): keys by UTF-16 unit, numbers and strings as JSON.stringify writes them (section 3.2) ---

export function canonicalJson(value) {
  if (value === null || typeof value === "boolean") return JSON.stringify(value);
  if (typeof value === "number") {
    need(Number.isFinite(value), "a number that JSON cannot hold");
    need(!Number.isInteger(value) || Math.abs(value) <= Number.MAX_SAFE_INTEGER || Math.abs(value) >= 1e21, "an integer beyond 2^53");
    return JSON.stringify(value);
  }
  if (typeof value === "string") {
    need(value.isWellFormed ? value.isWellFormed() : !/\p{Surrogate}/u.test(value), "text with half a character");
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  need(typeof value === "object", `JSON holds no ${typeof value}`);
  return `{${Object.keys(value).sort().map(key => `${canonicalJson(key)}:${canonicalJson(value[key])}`).join(",")}}`;
}

function parseCanonical(bytes, what) {
  const text = decoder.decode(bytes);
  let value;
  try { value = JSON.parse(text); } catch { fail(`${what} is not JSON`); }
  need(canonicalJson(value) === text, `${what} is not in its canonical form`);
  return value;
}

// --- Tree (RFC 9162). Sizes stay below 2^53, so halves are taken by division and not by 32-bit shifts ---

export const leafHash = entry => sha256(concat(Uint8Array.of(0), entry));
const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));
const half = number => Math.floor(number / 2);

const checkIndex = (index, size) =>
  need(Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size, `index ${index} is outside a tree of ${size}`);
const checkHashes = hashes => need(hashes.every(item => item.length === 32), "a hash does not have 32 bytes");

// Section 2.1.3.2, steps 1 to 4.
export async function rootFromInclusion(index, size, leaf, path) {
  checkIndex(index, size);
  checkHashes([leaf, ...path]);
  let node = index, last = size - 1, root = leaf;
  for (const sibling of path) {
    need(last > 0, "the proof is too long");
    if (node % 2 === 1 || node === last) {
      root = await nodeHash(sibling, root);
      while (node % 2 === 0 && node !== 0) { node = half(node); last = half(last); }
    } else {
      root = await nodeHash(root, sibling);
    }
    node = half(node);
    last = half(last);
  }
  need(last === 0, "the proof is too short");
  return root;
}

export async function verifyInclusion(index, size, leaf, path, root) {
  need(equal(await rootFromInclusion(index, size, leaf, path), root), "the proof ends in another root");
}

const isPowerOfTwo = number => {
  let rest = number;
  while (rest % 2 === 0) rest /= 2;
  return rest === 1;
};

// Section 2.1.4.2. An old size of 0 takes an empty proof, as C2SP witnesses accept it.
export async function verifyConsistency(oldSize, newSize, path, oldRoot, newRoot) {
  need([oldSize, newSize].every(Number.isSafeInteger) && oldSize >= 0 && oldSize <= newSize, "these sizes do not grow");
  checkHashes([oldRoot, newRoot, ...path]);
  if (oldSize === 0 || oldSize === newSize) {
    const empty = await sha256(new Uint8Array());
    need(path.length === 0 && equal(oldRoot, oldSize === 0 ? empty : newRoot), "trees of these sizes take an empty proof");
    need(newSize !== 0 || equal(newRoot, empty), "an empty tree has another root");
    return;
  }
  const steps = isPowerOfTwo(oldSize) ? [oldRoot, ...path] : [...path];
  need(steps.length > 0, "the proof is empty");
  let node = oldSize - 1, last = newSize - 1;
  while (node % 2 === 1) { node = half(node); last = half(last); }
  let oldComputed = steps[0], newComputed = steps[0];
  for (const item of steps.slice(1)) {
    need(last > 0, "the proof is too long");
    if (node % 2 === 1 || node === last) {
      oldComputed = await nodeHash(item, oldComputed);
      newComputed = await nodeHash(item, newComputed);
      while (node % 2 === 0 && node !== 0) { node = half(node); last = half(last); }
    } else {
      newComputed = await nodeHash(newComputed, item);
    }
    node = half(node);
    last = half(last);
  }
  need(last === 0, "the proof is too short");
  need(equal(oldComputed, oldRoot) && equal(newComputed, newRoot), "the proof leads to other roots");
}

// --- Signatures ---

async function importKey(format, bytes, algorithm) {
  try {
    return await crypto.subtle.importKey(format, bytes, algorithm, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") throw new Unsure(`this browser does not know ${algorithm.name}`);
    throw new Error(`not a key for ${algorithm.name}`);
  }
}

async function verifyEd25519(format, key, signature, message) {
  const imported = await importKey(format, key, { name: "Ed25519" });
  return crypto.subtle.verify({ name: "Ed25519" }, imported, signature, message);
}

// WebCrypto takes r and s side by side; DSSE carries them in DER (RFC 3279, section 2.2.3).
export function rawFromDer(der) {
  const integer = at => {
    const length = der[at + 1];
    need(der[at] === 2 && length >= 1 && length <= 33 && at + 2 + length <= der.length, "not a DER signature");
    const bytes = der.slice(at + 2, at + 2 + length);
    need(bytes[0] < 0x80 && !(length > 1 && bytes[0] === 0 && bytes[1] < 0x80), "not a DER signature");
    const short = bytes[0] === 0 ? bytes.slice(1) : bytes;
    need(short.length <= 32, "not a P-256 signature");
    return [concat(new Uint8Array(32 - short.length), short), at + 2 + length];
  };
  need(der[0] === 0x30 && der[1] === der.length - 2, "not a DER signature");
  const [r, next] = integer(2);
  const [s, end] = integer(next);
  need(end === der.length, "not a DER signature");
  return concat(r, s);
}

async function verifyP256(spki, signature, message) {
  const imported = await importKey("spki", spki, { name: "ECDSA", namedCurve: "P-256" });
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, imported, rawFromDer(signature), message);
}

// --- DSSE envelopes (protocol.md) ---

export const pae = (type, payload) => {
  const kind = encoder.encode(type);
  return concat(encoder.encode(`DSSEv1 ${kind.length} `), kind, encoder.encode(` ${payload.length} `), payload);
};

const hasKeys = (value, ...keys) =>
  value !== null && typeof value === "object" && Object.keys(value).sort().join() === keys.sort().join();

// `keys`: [{keyid, algorithm, public_key}], all that may sign. Answers the payload's bytes and the keyids that signed.
export async function verifyEnvelope(bytes, keys) {
  const envelope = parseCanonical(bytes, "the envelope");
  need(hasKeys(envelope, "payload", "payloadType", "signatures"), "not a DSSE envelope");
  need(envelope.payloadType === PAYLOAD_TYPE, "an unknown payload type");
  need(Array.isArray(envelope.signatures) && envelope.signatures.length > 0, "an envelope without signatures");
  const payload = fromBase64(envelope.payload);
  const message = pae(PAYLOAD_TYPE, payload);
  const signedBy = [];
  for (const item of envelope.signatures) {
    need(hasKeys(item, "keyid", "sig"), "not a signature");
    const key = keys.find(known => known.keyid === item.keyid);
    if (!key) continue; // by a key that is not known: it does not count
    const spki = fromBase64(key.public_key), signature = fromBase64(item.sig);
    need(hex(await sha256(spki)) === key.keyid, "a key that is not the one its id names");
    const good = key.algorithm === "ed25519" ? await verifyEd25519("spki", spki, signature, message)
      : key.algorithm === "ecdsa-p256-sha256" ? await verifyP256(spki, signature, message)
      : fail(`an unknown algorithm ${key.algorithm}`);
    need(good, `the signature by key ${item.keyid.slice(0, 16)}… does not verify`);
    signedBy.push(item.keyid);
  }
  need(signedBy.length > 0, "no signature is by a known key");
  return { payload, signedBy };
}

function parseStatement(bytes, kind) {
  const statement = parseCanonical(bytes, `the ${kind} statement`);
  need(hasKeys(statement, "_type", "predicate", "predicateType", "subject") && statement._type === STATEMENT_TYPE, "not an in-toto statement");
  need(statement.predicateType === PREDICATE(kind), `not a ${kind} statement`);
  need(Array.isArray(statement.subject) && statement.subject.length > 0, "a statement about nothing");
  return statement;
}

// --- Signed notes, checkpoints, proofs (c2sp.org) ---

const isName = name => name !== "" && !/[\s+\u0000-\u001f\u007f]/u.test(name);

function parseDecimal(text, what) {
  need(/^(0|[1-9][0-9]{0,15})$/.test(text) && Number.isSafeInteger(Number(text)), `${what} is not a decimal`);
  return Number(text);
}

export function parseNote(note) {
  need(!/[\u0000-\u0009\u000b-\u001f]/.test(note), "a note with control characters");
  const at = note.lastIndexOf("\n\n");
  need(at >= 0 && note.endsWith("\n") && at + 2 < note.length, "not a signed note");
  const text = note.slice(0, at + 1);
  const lines = note.slice(at + 2, -1).split("\n");
  need(lines.length <= 100, "a note with too many signatures");
  const signatures = lines.map(line => {
    const [dash, name, encoded, ...more] = line.split(" ");
    need(dash === "\u2014" && more.length === 0 && encoded !== undefined && isName(name), "not a signature line");
    const raw = fromBase64(encoded);
    need(raw.length > 4, "a signature line that is too short");
    return { name, keyId: hex(raw.slice(0, 4)), signature: raw.slice(4) };
  });
  const [origin, size, root, ...rest] = text.split("\n");
  need(rest.pop() === "" && origin !== "" && rest.every(line => line !== ""), "not a checkpoint");
  const hash = fromBase64(root);
  checkHashes([hash]);
  return { text, origin, size: parseDecimal(size, "the tree size"), root: hash, signatures };
}

export async function parseVkey(text) {
  const [name, keyId, ...rest] = text.split("+");
  need(isName(name) && /^[0-9a-f]{8}$/.test(keyId), "not a verifier key");
  const material = fromBase64(rest.join("+"));
  need(material.length > 1, "not a verifier key");
  const named = await sha256(concat(encoder.encode(`${name}\n`), material));
  need(hex(named.slice(0, 4)) === keyId, "a verifier key under another id");
  return { name, keyId, type: material[0], key: material.slice(1), text };
}

// Answers the keys that signed, and the lines of known keys that this browser cannot check.
export async function verifyNote(note, vkeys) {
  const signedBy = [], unchecked = [];
  for (const line of note.signatures) {
    const vkey = vkeys.find(known => known.name === line.name && known.keyId === line.keyId);
    if (!vkey) continue;
    if (vkey.type === ED25519) {
      const good = await verifyEd25519("raw", vkey.key, line.signature, encoder.encode(note.text));
      need(good, `the line of ${vkey.name} does not verify`);
      signedBy.push(vkey);
    } else {
      if (vkey.type === ML_DSA_44) need(line.signature.length === 8 + 2420, "not an ML-DSA-44 line");
      unchecked.push(vkey);
    }
  }
  return { signedBy, unchecked };
}

export function parseTlogProof(text) {
  const at = text.indexOf("\n\n");
  need(at >= 0, "not a transparency log proof");
  const lines = text.slice(0, at).split("\n");
  need(lines.shift() === "c2sp.org/tlog-proof@v1", "not a transparency log proof");
  const extra = lines[0]?.startsWith("extra ") ? fromBase64(lines.shift().slice(6)) : null;
  need(lines[0]?.startsWith("index "), "the proof names no index");
  const index = parseDecimal(lines.shift().slice(6), "the index");
  const path = lines.map(fromBase64);
  checkHashes(path);
  const checkpoint = text.slice(at + 2);
  return { index, path, extra, checkpoint, note: parseNote(checkpoint) };
}

// --- The evidence of one sample ---

// 1. record: the entry is the canonical JSON of a sample statement.
async function checkRecord(evidence) {
  const entry = fromBase64(evidence.entry);
  parseStatement(entry, "sample");
  return `leaf hash ${hex(await leafHash(entry))}`;
}

// 2. signature: leaf and path lead to the root that the collector signed, and the sample stands where it says.
async function checkSignature(evidence) {
  const collectors = evidence.keys.filter(key => key.purpose === "collector" && key.public_key);
  const { payload, signedBy } = await verifyEnvelope(fromBase64(evidence.batch.entry), collectors);
  const { count, root } = parseStatement(payload, "batch").predicate;
  need(typeof root === "string" && /^sha256:[0-9a-f]{64}$/.test(root), "the batch names no root");
  const { index, position, path } = evidence.batch;
  need(index - count + position === evidence.index, "the sample does not stand at this place of its batch");
  await verifyInclusion(position, count, await leafHash(fromBase64(evidence.entry)), path.map(fromBase64), fromHex(root.slice(7)));
  const key = signedBy[0];
  const isGood = item => Number.isInteger(item.last_good_size) && index < item.last_good_size;
  if (evidence.keys.some(item => item.keyid === key && item.state === "revoked" && !isGood(item))) {
    throw new Unsure(`the batch is signed, but its collector's key ${key.slice(0, 16)}… was revoked`);
  }
  return `sample ${position + 1} of ${count}, signed by collector key ${key.slice(0, 16)}…`;
}

// 3. checkpoint: the log's Ed25519 line, under a pinned key where there is one. A revoked key's counts up to its last good size.
async function checkCheckpoint(evidence, pinnedVkeys) {
  const { note, checkpoint } = parseTlogProof(evidence.proof);
  need(parseTlogProof(evidence.batch_proof).checkpoint === checkpoint, "the two proofs rest on different checkpoints");
  const sent = await Promise.all(evidence.vkeys.map(parseVkey));
  const pinned = await Promise.all(pinnedVkeys.map(parseVkey));
  const { signedBy, unchecked } = await verifyNote(note, [...pinned, ...sent]);
  const isVoid = vkey => (evidence.keys ?? []).some(item => item.purpose === "log" && item.keyid === vkey.keyId
    && item.state === "revoked" && !(Number.isSafeInteger(item.last_good_size) && note.size <= item.last_good_size));
  const own = signedBy.filter(vkey => vkey.name === note.origin), byLog = own.filter(vkey => !isVoid(vkey));
  need(own.length > 0, "no line that this browser can check is by the log");
  need(byLog.length > 0, `the log's key ${own[0].keyId} was revoked, and a tree of ${note.size} entries is beyond its last good size`);
  const trusted = byLog.find(vkey => pinned.some(known => known.text === vkey.text));
  need(pinned.length === 0 || trusted, "no line is by the key that you pinned");
  const key = trusted ?? byLog[0];
  const how = trusted ? "pinned by you" : "sent by this server, not pinned";
  const more = unchecked.some(vkey => vkey.type === ML_DSA_44) ? "; its ML-DSA-44 line is for the command to check" : "";
  return `${note.size} entries, root ${hex(note.root).slice(0, 16)}…, key ${key.keyId} ${how}${more}`;
}

// 4. inclusion: sample and batch both stand in the tree of that checkpoint.
async function checkInclusion(evidence) {
  const places = [[evidence.index, evidence.entry, evidence.proof], [evidence.batch.index, evidence.batch.entry, evidence.batch_proof]];
  for (const [index, entry, text] of places) {
    const { index: proven, path, note } = parseTlogProof(text);
    need(proven === index, `the proof is for entry ${proven}, not ${index}`);
    await verifyInclusion(index, note.size, await leafHash(fromBase64(entry)), path, note.root);
  }
  const { note, path } = parseTlogProof(evidence.proof);
  return `entries ${evidence.index} and ${evidence.batch.index} of ${note.size}, ${path.length} siblings`;
}

// 5. text: SHA-256(domain || 0x00 || salt || canonical JSON) is what the record commits to.
async function checkText(evidence) {
  if (!evidence.opening) throw new Unsure("Not checked: the text was erased or is not shown to you. The record still stands.");
  const { predicate } = parseStatement(fromBase64(evidence.entry), "sample");
  for (const part of ["prompt", "completion"]) {
    const salt = fromHex(evidence.opening[`${part}_salt`]);
    need(salt.length === 32, "a salt does not have 32 bytes");
    const words = encoder.encode(canonicalJson(evidence.opening[part]));
    const made = await sha256(concat(encoder.encode(DOMAINS[part]), Uint8Array.of(0), salt, words));
    need(predicate[`${part}_commitment`] === `sha256:${hex(made)}`, `the ${part} is not the one that the record commits to`);
  }
  return "prompt and completion open the record's commitments";
}

// Calls `onStep(id, "ok" | "bad" | "unsure", note)` for each step; one that fails hides no other. Answers whether all are ok.
export async function verifyEvidence(evidence, { pinnedVkeys = [] } = {}, onStep = () => {}) {
  const steps = { record: checkRecord, signature: checkSignature, checkpoint: checkCheckpoint, inclusion: checkInclusion, text: checkText };
  let all = true;
  for (const [id, check] of Object.entries(steps)) {
    let state = "ok", note;
    try {
      note = await check(evidence, pinnedVkeys);
    } catch (error) {
      state = error instanceof Unsure ? "unsure" : "bad";
      note = error.message;
    }
    all &&= state === "ok";
    onStep(id, state, note);
  }
  return all;
}
