"""What runs models: the interface, the scheduler, the engine's process and who watches it."""
