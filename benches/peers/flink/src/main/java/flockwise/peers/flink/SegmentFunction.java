package flockwise.peers.flink;

import flockwise.peers.job.Customer;
import flockwise.peers.job.Event;
import flockwise.peers.job.Segmenter;
import java.io.IOException;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Applies an event to its customer's state and emits the change, if there is one. */
final class SegmentFunction extends KeyedProcessFunction<String, Event, Tuple2<String, byte[]>> {
    private static final long serialVersionUID = 1;

    private final String modelFile;
    private final String inputTopic;
    private transient Segmenter segmenter;
    private transient ValueState<Customer> customers;

    SegmentFunction(String modelFile, String inputTopic) {
        this.modelFile = modelFile;
        this.inputTopic = inputTopic;
    }

    @Override
    public void open(OpenContext context) throws IOException {
        segmenter = new Segmenter(modelFile, inputTopic);
        customers = getRuntimeContext()
                .getState(new ValueStateDescriptor<>("customers", CustomerSerializer.INSTANCE));
    }

    @Override
    public void processElement(Event event, Context context, Collector<Tuple2<String, byte[]>> out)
            throws IOException {
        Customer known = customers.value();
        Customer customer = known == null ? new Customer() : known;
        if (!customer.observe(event)) {
            return;
        }
        byte[] change = segmenter.score(customer, event);
        customers.update(customer);
        if (change != null) {
            out.collect(Tuple2.of(event.customerId, change));
        }
    }
}
