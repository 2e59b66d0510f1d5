"""`4auth-gateway`: serves the clients that speak the wire protocol, and decides nothing.

A frame becomes a message of the contract, is signed by the gateway's own device key and handed to the auth
server, like a kiosk's. What the server says becomes a reply. There is no factor, policy or store in here.

settings      where it listens, who it is, how much it takes
requests      from a frame's JSON to an action and its message, pure
answers       from what the server says to a reply, pure but for the QR code's picture
forwarding    a request's way to the server and back, in a thread of its own
heartbeat     the gateway's sign of life
frames        frames on a connection, each wait bounded
admittance    how many connections and requests there may be, by address and in all
conversation  one connection: read, answer, write
server        all connections, from the first to the drain
"""
