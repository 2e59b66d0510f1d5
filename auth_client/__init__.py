"""How a registered device speaks with its auth server: signed, to a pinned key, with every wait bounded.

Kiosk and gateway share it; it knows neither.

client       one device's exchanges
pinning      HTTPS to a server that is known by its key alone
signature    what is under each request
device_key   the key, made on the device and never leaving it
access_list  who else could read a key file
settings     where the server is, and which keys it may have
version      which release of the program speaks
systemd      what a program tells the manager that started it
errors       what an exchange can end with
"""
