package flockwise.peers.flink;

import flockwise.peers.job.Customer;
import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** The length, followed by the same bytes as in the changelog of the Kafka Streams peer. */
final class CustomerSerializer extends TypeSerializerSingleton<Customer> {
    private static final long serialVersionUID = 1;

    static final CustomerSerializer INSTANCE = new CustomerSerializer();

    @Override
    public boolean isImmutableType() {
        return false;
    }

    @Override
    public Customer createInstance() {
        return new Customer();
    }

    @Override
    public Customer copy(Customer customer) {
        return new Customer(customer);
    }

    @Override
    public Customer copy(Customer customer, Customer reuse) {
        return new Customer(customer);
    }

    @Override
    public int getLength() {
        return -1;
    }

    @Override
    public void serialize(Customer customer, DataOutputView out) throws IOException {
        byte[] bytes = customer.toBytes();
        out.writeShort(bytes.length);
        out.write(bytes);
    }

    @Override
    public Customer deserialize(DataInputView in) throws IOException {
        byte[] bytes = new byte[in.readUnsignedShort()];
        in.readFully(bytes);
        return Customer.fromBytes(bytes);
    }

    @Override
    public Customer deserialize(Customer reuse, DataInputView in) throws IOException {
        return deserialize(in);
    }

    @Override
    public void copy(DataInputView in, DataOutputView out) throws IOException {
        int length = in.readUnsignedShort();
        out.writeShort(length);
        out.write(in, length);
    }

    @Override
    public TypeSerializerSnapshot<Customer> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Public with a public constructor without arguments, since Flink instantiates it by name. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Customer> {
        public Snapshot() {
            super(() -> INSTANCE);
        }
    }
}
