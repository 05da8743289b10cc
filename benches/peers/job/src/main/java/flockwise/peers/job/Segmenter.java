package flockwise.peers.job;

import java.io.File;
import java.io.IOException;

/** Assigns customers to their nearest segment and writes changes. Not thread-safe. */
public final class Segmenter {
    private final Model model;
    private final ChangeWriter writer;
    private final double[] raw = new double[Customer.FEATURES];
    private final double[] vector = new double[Customer.FEATURES];
    private final double[] point = new double[Customer.FEATURES];
    private final Drivers drivers = new Drivers();

    public Segmenter(String modelFile, String inputTopic) throws IOException {
        model = Model.read(new File(modelFile));
        writer = new ChangeWriter(model, inputTopic);
    }

    /** Scores a customer after an event. Returns the change as JSON, or null if there is none. */
    public byte[] score(Customer customer, Event event) throws IOException {
        customer.features(raw);
        Model.transform(raw, vector);
        model.scaled(vector, point);
        int to = model.nearest(point, -1);
        // This model numbers segments from 1 without gaps.
        int from = customer.segment - 1;
        if (to == from) {
            return null;
        }
        double distance = model.distance(point, to);
        double other = model.distance(point, from >= 0 ? from : model.nearest(point, to));
        if (from >= 0 && distance >= other) {
            return null;
        }
        customer.segment = model.ids[to];
        customer.sequence += 1;
        drivers.find(model, raw, vector, from >= 0 ? model.centroids[from] : model.means, model.centroids[to]);
        return writer.write(customer, event, from, to, distance, other, drivers);
    }
}
