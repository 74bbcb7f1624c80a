"""The first operator: prints what it is asked for, and keeps an answer in the object's status."""

import kopf


@kopf.on.create('zalando.org', 'v1', 'kopfexamples')
def create_fn(spec, meta, status, **kwargs):
    print(f"And here we are! Creating: {spec}")
    return {'items': len(spec.get('items', [])), 'for': spec.get('duration')}


@kopf.on.update('zalando.org', 'v1', 'kopfexamples')
def update_fn(diff, logger, **kwargs):
    for operation, field, old, new in diff:
        logger.info("%s %s: %r -> %r", operation, '.'.join(field), old, new)


@kopf.on.delete('zalando.org', 'v1', 'kopfexamples')
def delete_fn(name, logger, **kwargs):
    logger.info("Good-bye, %s!", name)
