"""What several tests share: tiny models, made runs, servers on this machine, examples."""
