"""Where in a model its safety lives: which weights, subspaces or layers its refusals depend on."""
