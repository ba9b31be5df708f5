"""System prompts and attacks as axes of the evaluation: one landscape for each way of asking.

    from safebasin.conditions.preparation import prepare
    from safebasin.conditions.settings import ConditionsConfig
    from safebasin.conditions.study import study

    found = study(prepare(ConditionsConfig()))
    print({one.name: one.summary.visage.text(".1f") for one in found.conditions})

Peng et al. (arXiv 2405.17374, Sec. 5 and Fig. 4) measure landscapes under several system prompts
and of jailbreaks; an attack that works on the model often fails on its neighbours.
"""
