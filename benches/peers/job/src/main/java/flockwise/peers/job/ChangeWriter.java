package flockwise.peers.job;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.StreamWriteFeature;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.time.Instant;

/** Writes changes in Flockwise's format, except their id. */
final class ChangeWriter {
    private static final JsonFactory JSON =
            JsonFactory.builder().enable(StreamWriteFeature.USE_FAST_DOUBLE_WRITER).build();

    private final Model model;
    private final String inputTopic;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream(1024);

    ChangeWriter(Model model, String inputTopic) {
        this.model = model;
        this.inputTopic = inputTopic;
    }

    byte[] write(
            Customer customer, Event event, int from, int to, double distance, double other, Drivers drivers)
            throws IOException {
        out.reset();
        try (JsonGenerator json = JSON.createGenerator(out)) {
            json.writeStartObject();
            json.writeStringField("type", "segment.changed");
            json.writeStringField("customer_id", event.customerId);
            json.writeNumberField("sequence", customer.sequence);
            json.writeStringField("occurred_at", Instant.ofEpochMilli(customer.latestMs()).toString());
            writePlace(json, "from", from);
            writePlace(json, "to", to);
            json.writeStringField("cause", "behaviour");
            json.writeNumberField("distance", distance);
            if (from < 0) {
                json.writeNullField("distance_from");
            } else {
                json.writeNumberField("distance_from", other);
            }
            json.writeNumberField("margin", other > 0 ? 1 - distance / other : 0);
            writeDrivers(json, drivers);
            json.writeNumberField("model_version", model.version);
            json.writeObjectFieldStart("trigger");
            json.writeStringField("topic", inputTopic);
            json.writeNumberField("partition", event.partition);
            json.writeNumberField("offset", event.offset);
            json.writeEndObject();
            json.writeEndObject();
        }
        return out.toByteArray();
    }

    private void writePlace(JsonGenerator json, String field, int segment) throws IOException {
        if (segment < 0) {
            json.writeNullField(field);
            return;
        }
        json.writeObjectFieldStart(field);
        json.writeNumberField("segment", model.ids[segment]);
        json.writeStringField("name", model.names[segment]);
        json.writeNullField("strategic");
        json.writeEndObject();
    }

    private void writeDrivers(JsonGenerator json, Drivers drivers) throws IOException {
        json.writeArrayFieldStart("drivers");
        for (int place = 0; place < drivers.count; place++) {
            json.writeStartObject();
            json.writeStringField("feature", Model.FEATURES.get(drivers.feature[place]));
            json.writeNumberField("value", drivers.value[place]);
            json.writeNumberField("typical", drivers.typical[place]);
            json.writeNumberField("pull", drivers.pull[place]);
            json.writeEndObject();
        }
        json.writeEndArray();
    }
}
