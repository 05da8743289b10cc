"""Finds the order that a refund belongs to, in data without that link."""

from collections import defaultdict


class OrderHistory:
    """One customer's orders, oldest first, and the goods of each that are not refunded yet."""

    def __init__(self):
        self._orders = []

    def add(self, order_id, lines):
        kept = defaultdict(int)
        for name, quantity, price in lines:
            kept[name, price] += quantity
        self._orders.append((order_id, kept))

    def take_back(self, lines):
        """Returns the id of the order that the goods came from, or None.

        That is the latest of the orders that account for most of the refunded money at the refunded prices. If no
        order has these prices (goodwill, a corrected price), it is the latest of the orders with most of the goods.
        """
        best = max(self._orders, key=lambda order: money_held(order[1], lines), default=None)
        if best is None or money_held(best[1], lines) == 0:
            return self._latest_with_the_goods(lines)
        # max() returns the first of equal orders, so the latest is searched from the end
        most = money_held(best[1], lines)
        order_id, kept = next(order for order in reversed(self._orders) if money_held(order[1], lines) == most)
        for name, quantity, price in lines:
            kept[name, price] -= min(quantity, max(0, kept.get((name, price), 0)))
        return order_id

    def _latest_with_the_goods(self, lines):
        names = {name for name, _, _ in lines}
        found = [(len(names & {name for name, _ in kept}), order_id) for order_id, kept in self._orders]
        most = max((count for count, _ in found), default=0)
        return next(order_id for count, order_id in reversed(found) if count == most) if most else None


def money_held(kept, lines):
    return sum(price * min(quantity, kept.get((name, price), 0)) for name, quantity, price in lines)
