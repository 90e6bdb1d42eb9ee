"""The checkout of an online shop: a service as its users have them, small and real.

    DATABASE_URL=postgresql://… PORT=8000 python -m stressrun.demo.checkout

It has a weak spot for a stress test to find: a checkout locks the stock of its products and keeps
it locked while the payment is authorised. One buyer notices nothing. Many buyers of the same few
products queue for the lock, each with a connection of a small pool in hand, until all else waits.
"""
