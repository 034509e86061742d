"""Give a trained model away: may it be published, what must go with it, and the folder that others check.

Order of use: `judge.judge_publication` asks today's policies and the model's lineage; `describe.describe_model` gathers what the
card says; `publish.publish_model` writes the folder, has it signed, and logs that it was published.
"""
