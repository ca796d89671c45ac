"""What must hold for the repository as a whole: layers, public surface, stubs, docs, packaging."""
