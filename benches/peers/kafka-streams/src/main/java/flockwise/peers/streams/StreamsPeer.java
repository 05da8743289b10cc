package flockwise.peers.streams;

import flockwise.peers.job.Customer;
import flockwise.peers.job.Event;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** The job on Kafka Streams with exactly-once processing. Runs until it is terminated. */
public final class StreamsPeer {
    static final String STORE = "customers";

    private StreamsPeer() {}

    /** Arguments: SERVERS APP INPUT OUTPUT MODEL STATE_DIRECTORY, then Kafka Streams settings as NAME=VALUE. */
    public static void main(String[] arguments) throws InterruptedException {
        Properties settings = settings(arguments[0], arguments[1], arguments[5]);
        for (int at = 6; at < arguments.length; at++) {
            String[] setting = arguments[at].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        KafkaStreams streams = new KafkaStreams(topology(arguments[2], arguments[3], arguments[4]), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        CountDownLatch ended = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) {
                ended.countDown();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(streams), "shutdown"));
        streams.start();
        ended.await();
        System.exit(1);
    }

    /** Leaves the group; otherwise the next start would wait for the session timeout. */
    private static void close(KafkaStreams streams) {
        streams.close(CloseOptions.timeout(Duration.ofSeconds(30))
                .withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
    }

    private static Properties settings(String servers, String app, String stateDirectory) {
        Properties settings = new Properties();
        settings.putAll(Map.of(
                StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, servers,
                StreamsConfig.APPLICATION_ID_CONFIG, app,
                StreamsConfig.STATE_DIR_CONFIG, stateDirectory,
                StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2,
                StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100,
                StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1,
                // Room for all customers of the job, so that reads seldom go to RocksDB.
                StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 128L << 20,
                StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest"));
        return settings;
    }

    private static Topology topology(String input, String output, String modelFile) {
        Serde<Customer> customers = Serdes.serdeFrom(
                (topic, customer) -> customer == null ? null : customer.toBytes(),
                (topic, bytes) -> bytes == null ? null : Customer.fromBytes(bytes));
        StoreBuilder<KeyValueStore<String, Customer>> store = Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore(STORE), Serdes.String(), customers)
                .withCachingEnabled();
        ProcessorSupplier<String, Event, String, byte[]> segments =
                () -> new SegmentProcessor(modelFile, input);
        return new Topology()
                .addSource("events", Serdes.String().deserializer(), new EventDeserializer(), input)
                .addProcessor("segments", segments, "events")
                .addStateStore(store, "segments")
                .addSink(
                        "changes",
                        output,
                        Serdes.String().serializer(),
                        Serdes.ByteArray().serializer(),
                        "segments");
    }
}
