"""JSON pointers (RFC 6901, `*` for every element of an array) and the conditions of `where`."""

OPERATORS = {
    "eq": lambda found, wanted: same(found, wanted),
    "ne": lambda found, wanted: not same(found, wanted),
    "in": lambda found, wanted: any(same(found, each) for each in wanted),
    "gt": lambda found, wanted: comparable(found, wanted) and found > wanted,
    "ge": lambda found, wanted: comparable(found, wanted) and found >= wanted,
    "lt": lambda found, wanted: comparable(found, wanted) and found < wanted,
    "le": lambda found, wanted: comparable(found, wanted) and found <= wanted,
    "prefix": lambda found, wanted: isinstance(found, str) and found.startswith(wanted),
}


def values(document, pointer):
    """All values that the pointer selects, without null."""
    found = [document]
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        found = [child for each in found for child in children(each, token)]
    return [each for each in found if each is not None]


def children(node, token):
    if isinstance(node, dict):
        return [node[token]] if token in node else []
    if isinstance(node, list):
        if token == "*":
            return node
        return [node[int(token)]] if token.isdecimal() and int(token) < len(node) else []
    return []


def first(document, pointers):
    """The value of the first pointer that selects any, or None."""
    for pointer in [pointers] if isinstance(pointers, str) else pointers:
        found = values(document, pointer)
        if found:
            return found[0]
    return None


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(found, wanted):
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return found == wanted


def comparable(found, wanted):
    return (is_number(found) and is_number(wanted)) or (isinstance(found, str) and isinstance(wanted, str))


def holds(document, where):
    return all(condition_holds(values(document, pointer), condition) for pointer, condition in where.items())


def condition_holds(found, condition):
    """True if one of the values found meets all conditions on this pointer."""
    operators = as_operators(condition)
    if "exists" in operators:
        exists = operators.pop("exists")
        if bool(found) != exists:
            return False
        if not operators or not exists:
            return True
    return any(all(OPERATORS[name](each, wanted) for name, wanted in operators.items()) for each in found)


def as_operators(condition):
    if isinstance(condition, dict):
        return dict(condition)
    return {"in": condition} if isinstance(condition, list) else {"eq": condition}
