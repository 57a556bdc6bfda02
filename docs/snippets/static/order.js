// Nothing to order yet.
