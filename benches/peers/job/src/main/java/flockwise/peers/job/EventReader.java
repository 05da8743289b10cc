package flockwise.peers.job;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.time.Instant;
import java.time.LocalDate;

/** Reads events from JSON token by token. Creates objects only for what the job needs. */
public final class EventReader {
    private static final JsonFactory JSON =
            JsonFactory.builder().enable(StreamReadFeature.USE_FAST_DOUBLE_PARSER).build();

    private EventReader() {}

    public static Event read(byte[] bytes) throws IOException {
        Event event = new Event();
        String type = null, name = null, orderId = null;
        try (JsonParser json = JSON.createParser(bytes)) {
            expectObject(json, json.nextToken());
            for (String field; (field = json.nextFieldName()) != null; ) {
                JsonToken value = json.nextToken();
                switch (field) {
                    case "type" -> type = json.getText();
                    case "event" -> name = json.getText();
                    case "messageId" -> event.id = hash(SEED, json.getText());
                    case "userId" -> event.customerId = json.getText();
                    case "timestamp" -> event.timeMs = milliseconds(json.getText());
                    case "properties" -> {
                        expectObject(json, value);
                        orderId = readProperties(json, event);
                    }
                    default -> json.skipChildren();
                }
            }
        }
        String known = name != null ? name : type;
        event.name = Event.name(known);
        if (orderId != null) {
            event.order = hash(hash(SEED, known), orderId);
        }
        return event;
    }

    /** Returns the order id of the event, or null. */
    private static String readProperties(JsonParser json, Event event) throws IOException {
        String orderId = null;
        for (String field; (field = json.nextFieldName()) != null; ) {
            json.nextToken();
            switch (field) {
                case "order_id" -> orderId = json.getText();
                case "revenue" -> event.revenue = json.getDoubleValue();
                case "category" -> event.isToys = json.getText().equals("toys");
                default -> json.skipChildren();
            }
        }
        return orderId;
    }

    private static void expectObject(JsonParser json, JsonToken found) throws IOException {
        if (found != JsonToken.START_OBJECT) {
            throw new IOException("found " + found + ", expected an object at " + json.currentLocation());
        }
    }

    /** A fast path for the usual form; other forms are parsed by Instant. */
    static long milliseconds(String time) {
        if (time.length() != 24 || time.charAt(23) != 'Z') {
            return Instant.parse(time).toEpochMilli();
        }
        long day = LocalDate.of(number(time, 0, 4), number(time, 5, 2), number(time, 8, 2)).toEpochDay();
        long seconds = number(time, 11, 2) * 3600 + number(time, 14, 2) * 60 + number(time, 17, 2);
        return (day * 86_400 + seconds) * 1000 + number(time, 20, 3);
    }

    private static int number(String text, int from, int digits) {
        int number = 0;
        for (int at = from; at < from + digits; at++) {
            number = number * 10 + text.charAt(at) - '0';
        }
        return number;
    }

    private static final long SEED = 0xcbf29ce484222325L;

    /** FNV-1a; never 0. */
    private static long hash(long seed, String text) {
        long hash = seed;
        for (int at = 0; at < text.length(); at++) {
            hash = (hash ^ text.charAt(at)) * 0x100000001b3L;
        }
        return hash == 0 ? 1 : hash;
    }
}
