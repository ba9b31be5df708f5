"""The worst-case direction: how short a displacement suffices when it is chosen, not drawn.

    from safebasin.worst_case.preparation import prepare
    from safebasin.worst_case.settings import WorstCaseConfig
    from safebasin.worst_case.study import search

    found = search(prepare(WorstCaseConfig()))
    print({line.name: line.length.text() for line in found.lines})

Random directions are the mild case; the worst one is a needle (Chen et al., arXiv 2505.17646).
Effective perturbation length: how far along a direction ASR stays within the tolerance (AsFT,
arXiv 2506.08473, Eq. 5), in units of the weights' norm, tensor by tensor.
"""
