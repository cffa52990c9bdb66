"""The console: a web page for the person on call, to see, understand, approve and stop."""
