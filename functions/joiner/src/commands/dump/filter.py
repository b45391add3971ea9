import json, sys

# Keeps of the input what the mask names: true keeps all, an object keeps its keys, a list does so for each item,
# a text stands for the mask of that name, and "annotations" keeps the keys that begin with an allowed text.
ALL = json.loads(sys.argv[1])

def keep(value, mask):
    if mask is True:
        return value
    if mask == "annotations":
        if not isinstance(value, dict):
            return None
        starts = tuple(ALL["annotations"])
        return {key: text for key, text in value.items() if key.startswith(starts)}
    if isinstance(mask, str):
        return keep(value, ALL[mask])
    if isinstance(mask, list):
        return [keep(item, mask[0]) for item in value] if isinstance(value, list) else None
    if not isinstance(value, dict):
        return None
    return {key: keep(value[key], mask[key]) for key in sorted(mask) if key in value}

text = sys.stdin.buffer.read()
for item in json.loads(text)["items"] if text.strip() else []:
    mask = ALL["kinds"].get(item.get("kind"))
    if mask is not None:
        mask = dict(mask, apiVersion=True, kind=True, metadata=ALL["metadata"])
        print(json.dumps(keep(item, mask), separators=(",", ":")))
