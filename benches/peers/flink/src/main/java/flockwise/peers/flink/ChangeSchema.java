package flockwise.peers.flink;

import java.nio.charset.StandardCharsets;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

final class ChangeSchema implements KafkaRecordSerializationSchema<Tuple2<String, byte[]>> {
    private static final long serialVersionUID = 1;

    private final String topic;

    ChangeSchema(String topic) {
        this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(
            Tuple2<String, byte[]> change, KafkaSinkContext context, Long timestamp) {
        return new ProducerRecord<>(topic, change.f0.getBytes(StandardCharsets.UTF_8), change.f1);
    }
}
