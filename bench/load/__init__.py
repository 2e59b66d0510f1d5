"""`make load`: logins of up to 256 simulated kiosks at one, two and three servers that share a database.

figures   pure: a login as a kiosk saw it, arrivals, percentiles, rates, how throughput grows with servers
fleet     who stands at which kiosk, and which server a kiosk knows
faces     pictures of people who are let in
site      servers on one PostgreSQL, with kiosks and people
shares    the same share of the processor for each server
kiosks    the kiosks, in processes of their own
measuring one step: kiosks at work, and what servers, database and kiosks took meanwhile
report    the table and the JSON
picture   the plot
"""
