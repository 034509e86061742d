"""Training of students: plans, recipes, losses, evaluation, and the process that trains.

- Nouns: `plan`, `recipe`, `losses`, `consumed`, `compute`, `rounds`, `evaluation`, `checkpoint`, `energy`, `sandbox`. Verbs:
  `teacher`, `student`, `weights`, `distill` (with `prepare`, `trainer`, `white_box`, `on_policy`, `outcome`), `answer_rounds`,
  `local`, `serve`.
- torch and transformers are imported only inside the training process (`distill`, `export`, `serve`) and inside functions,
  so the service can import this package without them.
- Recipes: `sft` on released text; `kd` beside a teacher's own distribution; `on-policy` on what the student writes, each round
  recorded and judged by the service (`answer_rounds`) before any of it is trained on.
- Order of use: `teacher.fetch_teacher`, `plan.Plan`, `local.start_process`, which runs `distill`, which ends in `result.json`.
"""
