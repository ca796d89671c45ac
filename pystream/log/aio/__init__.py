"""Producers and consumers whose methods are coroutines, over those that block."""
