"""The HTTP side: who may ask, what is answered, and the server that carries both."""
