"""Who may connect: one file a way of proving it; no I/O."""
