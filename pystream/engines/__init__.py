"""What runs a plan: the native engine of this process."""
