"""Training of students: plans, recipes, losses, evaluation, and the process that trains.

- Nouns: `plan`, `recipe`, `losses`, `evaluation`, `checkpoint`, `energy`, `sandbox`. Verbs: `teacher`, `student`, `distill`,
  `local`, `serve`.
- torch and transformers are imported only inside the training process (`distill`, `export`, `serve`) and inside functions,
  so the service can import this package without them.
- Order of use: `teacher.fetch_teacher`, `plan.Plan`, `local.start_process`, which runs `distill`, which ends in `result.json`.
"""
