"""What kiosk and server must agree on, and nothing else.

Constrained fields, one request model for each exchange, replies, paths and the
RFC 9421 component list. It does no I/O, reads no clock, and imports neither
`auth_server` nor `kiosk_agent`.
"""
