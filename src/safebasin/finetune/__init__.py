"""Fine-tuning by the published recipes of safety audits, over TRL and PEFT.

    from safebasin.finetune.settings import FinetuneConfig
    from safebasin.finetune.study import finetune

    config = FinetuneConfig("testbed:aligned", "explicit-100", "testbed:harmful", lora=True)
    print(finetune(config).final)

Loss is on answer tokens only; every epoch leaves a checkpoint; the same call goes on where an
interrupted one stopped.
"""
