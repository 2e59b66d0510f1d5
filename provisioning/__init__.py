"""The administrator's command, run on the server host: there is no way in over the network."""
