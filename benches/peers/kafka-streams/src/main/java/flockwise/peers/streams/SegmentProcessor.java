package flockwise.peers.streams;

import flockwise.peers.job.Customer;
import flockwise.peers.job.Event;
import flockwise.peers.job.Segmenter;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;

/** Applies an event to its customer's state and forwards the change, if there is one. */
final class SegmentProcessor implements Processor<String, Event, String, byte[]> {
    private final Segmenter segmenter;
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, Customer> customers;

    SegmentProcessor(String modelFile, String inputTopic) {
        try {
            segmenter = new Segmenter(modelFile, inputTopic);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        customers = context.getStateStore(StreamsPeer.STORE);
    }

    @Override
    public void process(Record<String, Event> record) {
        Event event = record.value();
        RecordMetadata place = context.recordMetadata().orElseThrow();
        event.partition = place.partition();
        event.offset = place.offset();
        Customer known = customers.get(record.key());
        Customer customer = known == null ? new Customer() : known;
        if (!customer.observe(event)) {
            return;
        }
        byte[] change = score(customer, event);
        customers.put(record.key(), customer);
        if (change != null) {
            context.forward(record.withValue(change));
        }
    }

    private byte[] score(Customer customer, Event event) {
        try {
            return segmenter.score(customer, event);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
