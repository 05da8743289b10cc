package flockwise.peers.job;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.util.List;

/** The segments, read from the model file that Flockwise imports. */
final class Model {
    static final List<String> FEATURES = List.of(
            "product_viewed_7d", "page_viewed_7d", "product_added_7d", "products_searched_7d",
            "order_completed_7d", "product_viewed_30d", "page_viewed_30d", "product_added_30d",
            "products_searched_30d", "order_completed_30d", "revenue_7d", "revenue_30d", "orders_90d",
            "days_since_view", "basket", "toys");
    /** The only feature with a square root; all others have a logarithm. */
    private static final int TOYS = 15;

    final int version;
    final int[] ids;
    final String[] names;
    /** In units of the feature vector. */
    final double[] means;
    final double[][] centroids;
    /** Factors by which dimensions are multiplied before distances are computed. */
    final double[] scale;
    private final double[][] scaled;

    private Model(JsonNode json) throws IOException {
        checkFeatures(json.get("features"));
        version = json.get("version").asInt();
        JsonNode segmentation = json.get("artefacts").get("segmentation");
        means = numbers(segmentation.get("scaler").get("means"));
        scale = numbers(segmentation.get("scaler").get("deviations"));
        for (int at = 0; at < scale.length; at++) {
            scale[at] = 1.0 / scale[at];
        }
        JsonNode segments = segmentation.get("segments");
        ids = new int[segments.size()];
        names = new String[ids.length];
        centroids = new double[ids.length][];
        scaled = new double[ids.length][];
        for (int at = 0; at < ids.length; at++) {
            ids[at] = segments.get(at).get("id").asInt();
            names[at] = segments.get(at).get("name").asText();
            centroids[at] = numbers(segments.get(at).get("centroid"));
            scaled[at] = new double[scale.length];
            scaled(centroids[at], scaled[at]);
        }
    }

    static Model read(File file) throws IOException {
        return new Model(new ObjectMapper().readTree(file));
    }

    private static void checkFeatures(JsonNode found) throws IOException {
        for (int at = 0; at < FEATURES.size(); at++) {
            if (!FEATURES.get(at).equals(found.path(at).asText())) {
                throw new IOException("the model has the features " + found + ", expected " + FEATURES);
            }
        }
    }

    private static double[] numbers(JsonNode array) {
        double[] numbers = new double[array.size()];
        for (int at = 0; at < numbers.length; at++) {
            numbers[at] = array.get(at).asDouble();
        }
        return numbers;
    }

    static void transform(double[] raw, double[] vector) {
        for (int at = 0; at < raw.length; at++) {
            // Most counts are zero, and a logarithm is expensive.
            vector[at] = raw[at] == 0 ? 0 : at == TOYS ? Math.sqrt(raw[at]) : Math.log1p(raw[at]);
        }
    }

    /** Converts an element of the feature vector back to the feature's unit. */
    static double invert(int feature, double value) {
        return feature == TOYS ? value * value : Math.expm1(value);
    }

    void scaled(double[] vector, double[] into) {
        for (int at = 0; at < into.length; at++) {
            into[at] = vector[at] * scale[at];
        }
    }

    /** The index of the segment nearest to a scaled point, ignoring segment {@code but} (-1 for none). */
    int nearest(double[] point, int but) {
        int best = -1;
        double least = Double.POSITIVE_INFINITY;
        for (int at = 0; at < scaled.length; at++) {
            double squared = squaredDistance(point, at);
            if (squared < least && at != but) {
                least = squared;
                best = at;
            }
        }
        return best;
    }

    double distance(double[] point, int segment) {
        return Math.sqrt(squaredDistance(point, segment));
    }

    private double squaredDistance(double[] point, int segment) {
        double[] centroid = scaled[segment];
        double squared = 0;
        for (int at = 0; at < centroid.length; at++) {
            double gap = point[at] - centroid[at];
            squared += gap * gap;
        }
        return squared;
    }
}
