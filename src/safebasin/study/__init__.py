"""What all studies share: preparation, run folders, the one loop over points, paired statistics."""
