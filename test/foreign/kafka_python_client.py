"""What kafka-python.foreign.ts has kafka-python do; prints what came of it as JSON."""
import json
import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

brokers = sys.argv[1].split(",")
found = {}

producer = KafkaProducer(bootstrap_servers=brokers, acks="all", compression_type="gzip")
sent = [producer.send("orders", key=b"k%d" % (n % 7), value=b"v%d" % n, headers=[("n", b"%d" % n)]) for n in range(100)]
found["produced"] = len([future.get(timeout=20) for future in sent])
producer.close()

consumer = KafkaConsumer(
    "orders",
    bootstrap_servers=brokers,
    group_id="readers",
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    consumer_timeout_ms=20000,
)
values = set()
for record in consumer:
    values.add(record.value)
    if len(values) == 100:
        break
consumer.commit()
found["consumed"] = len(values)
partitions = [TopicPartition("orders", n) for n in range(3)]
found["committed"] = sum(consumer.committed(partition) or 0 for partition in partitions)
found["by_time"] = min(at.offset for at in consumer.offsets_for_times({p: 1 for p in partitions}).values() if at)
consumer.close()

admin = KafkaAdminClient(bootstrap_servers=brokers)
admin.create_topics([NewTopic(name="made", num_partitions=2, replication_factor=3)])
found["topics"] = sorted(name for name in admin.list_topics() if not name.startswith("__"))
if hasattr(admin, "describe_groups"):  # kafka-python 3
    found["group_state"] = admin.describe_groups(["readers"])["readers"]["group_state"]
else:
    found["group_state"] = admin.describe_consumer_groups(["readers"])[0].state
admin.delete_topics(["made"])
found["after_delete"] = sorted(name for name in admin.list_topics() if not name.startswith("__"))
admin.close()
print(json.dumps(found))
