"""Serve a local model folder like OpenAI does: `python -m provenance.training.serve --model DIR --name NAME --port P`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from provenance.errors import MalformedError, ProvenanceError
from provenance.training.extras import SERVING, require

MAX_CONTEXT_TOKENS = 2048


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m provenance.training.serve", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with config.json, tokenizer and safetensors")
    parser.add_argument("--name", required=True, help="the model's name in requests and answers")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8010)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves the choice to OMP_NUM_THREADS")
    parser.add_argument("--max-batch", type=int, default=16)
    parser.add_argument("--window-ms", type=float, default=30.0, help="how long the first request of a batch waits")
    return parser.parse_args(argv)


def serve(arguments: argparse.Namespace) -> None:
    """Load the model, then answer until the process is told to stop."""
    require(SERVING, "server,train")
    if not (arguments.model / "config.json").is_file():
        raise MalformedError(f"--model: {arguments.model} has no config.json; expected a transformers model folder")
    if arguments.threads > 0:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # before torch is imported: later it is not read
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin at barriers starve each other on busy cores
    import torch
    import uvicorn

    from provenance.training.batching import Batcher
    from provenance.training.chat import Served, make_app
    from provenance.training.files import digest_files, list_files
    from provenance.training.generate import load_model

    if arguments.threads > 0:
        torch.set_num_threads(arguments.threads)
    model, tokenizer = load_model(arguments.model)
    context = min(MAX_CONTEXT_TOKENS, int(model.config.max_position_embeddings))
    digest = digest_files(list_files(arguments.model))
    served = Served(arguments.name, model, tokenizer, digest, context, int(time.time()))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    batcher = Batcher(model, pad, window_seconds=arguments.window_ms / 1000, max_batch=arguments.max_batch)
    app = make_app(served, batcher)
    uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="warning", timeout_graceful_shutdown=5)


def main(argv: list[str] | None = None) -> int:
    """Entry point; a fault is one line on stderr and its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until uvicorn installs its own
    try:
        serve(parse_arguments(sys.argv[1:] if argv is None else argv))
    except ProvenanceError as exc:
        print(exc.detail, file=sys.stderr)  # noqa: T201  # an entry point
        return exc.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
