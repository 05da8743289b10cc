package flockwise.peers.streams;

import flockwise.peers.job.Event;
import flockwise.peers.job.EventReader;
import java.io.IOException;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;

final class EventDeserializer implements Deserializer<Event> {
    @Override
    public Event deserialize(String topic, byte[] bytes) {
        try {
            return bytes == null ? null : EventReader.read(bytes);
        } catch (IOException error) {
            throw new SerializationException("not an event", error);
        }
    }
}
