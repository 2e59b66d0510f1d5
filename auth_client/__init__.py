"""How a registered device speaks with its auth servers: signed, to a pinned key, with every wait bounded.

Kiosk and gateway share it; it knows neither.

client       one device's exchanges, each with one of its servers
addresses    which server is tried first
failures     whether another may be tried, and what is told in the end
sender       one request to one server
pinning      HTTPS to servers that are known by their key alone
signature    what is under each request
device_key   the key, made on the device and never leaving it
access_list  who else could read a key file
settings     where the servers are, and which keys they may have
surroundings time and chance, so that tests can give them
version      which release of the program speaks
systemd      what a program tells the manager that started it
errors       what an exchange can end with
"""
