# Keeps of the input what the mask names: true keeps all, an object keeps its keys, a list does so for each item,
# a text stands for the mask of that name, and "annotations" keeps the keys that begin with an allowed text.
def keep($mask):
  if $mask == true then .
  elif $mask == "annotations" then
    if type == "object"
    then with_entries(select(.key as $key | any($all.annotations[]; . as $start | $key | startswith($start))))
    else null end
  elif ($mask | type) == "string" then keep($all[$mask])
  elif ($mask | type) == "array" then
    if type == "array" then map(keep($mask[0])) else null end
  elif type == "object" then
    . as $given
    | reduce ($mask | keys[]) as $key ({};
        if $given | has($key) then .[$key] = ($given[$key] | keep($mask[$key])) else . end)
  else null end;

.items[]
| select(.kind as $kind | $all.kinds | has($kind))
| keep($all.kinds[.kind] + { apiVersion: true, kind: true, metadata: $all.metadata })
