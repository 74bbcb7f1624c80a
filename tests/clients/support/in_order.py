"""An object from standard input, as JSON, with its field managers by name: a server sorts them by time, in whole seconds."""

import json
import sys

obj = json.load(sys.stdin)
for item in obj.get("items", [obj]):
    item["metadata"].get("managedFields", []).sort(
        key=lambda entry: [entry.get(key, "") for key in ("manager", "operation", "subresource", "apiVersion")]
    )
json.dump(obj, sys.stdout, indent=2, sort_keys=True, ensure_ascii=False)
