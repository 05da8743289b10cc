package flockwise.peers.flink;

import flockwise.peers.job.Event;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** The job on Flink in one JVM with heap state and exactly-once processing. Runs until it is terminated. */
public final class FlinkPeer {
    static final TypeInformation<Tuple2<String, byte[]>> CHANGE =
            Types.TUPLE(Types.STRING, Types.PRIMITIVE_ARRAY(Types.BYTE));

    private FlinkPeer() {}

    /** Arguments: SERVERS APP INPUT OUTPUT MODEL CHECKPOINT_DIRECTORY */
    public static void main(String[] arguments) throws Exception {
        String servers = arguments[0], app = arguments[1], input = arguments[2], output = arguments[3];
        StreamExecutionEnvironment flink =
                StreamExecutionEnvironment.createLocalEnvironment(1, settings(arguments[5]));
        flink.fromSource(source(servers, app, input), WatermarkStrategy.noWatermarks(), "events")
                .keyBy(event -> event.customerId)
                .process(new SegmentFunction(arguments[4], input), CHANGE)
                .sinkTo(sink(servers, app, output));
        flink.execute(app);
    }

    private static Configuration settings(String checkpointDirectory) {
        Configuration settings = new Configuration();
        settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(1));
        settings.set(CheckpointingOptions.CHECKPOINTING_CONSISTENCY_MODE, CheckpointingMode.EXACTLY_ONCE);
        settings.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + checkpointDirectory);
        settings.set(CoreOptions.TMP_DIRS, checkpointDirectory);
        settings.set(PipelineOptions.OBJECT_REUSE, true);
        // Fail instead of silently using slow generic serializers.
        settings.set(PipelineOptions.GENERIC_TYPES, false);
        return settings;
    }

    private static KafkaSource<Event> source(String servers, String app, String input) {
        return KafkaSource.<Event>builder()
                .setBootstrapServers(servers)
                .setTopics(input)
                .setGroupId(app)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(new EventSchema())
                .build();
    }

    private static KafkaSink<Tuple2<String, byte[]>> sink(String servers, String app, String output) {
        return KafkaSink.<Tuple2<String, byte[]>>builder()
                .setBootstrapServers(servers)
                .setRecordSerializer(new ChangeSchema(output))
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(app)
                // Below the brokers' maximum of 15 minutes.
                .setProperty("transaction.timeout.ms", "600000")
                .build();
    }
}
