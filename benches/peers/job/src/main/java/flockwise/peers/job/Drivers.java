package flockwise.peers.job;

/** The features that pulled a customer most from one centroid to another, strongest first. */
final class Drivers {
    static final int MOST = 3;

    int count;
    final int[] feature = new int[MOST];
    final double[] value = new double[MOST];
    final double[] typical = new double[MOST];
    final double[] pull = new double[MOST];

    private final double[] pulls = new double[Customer.FEATURES];

    void find(Model model, double[] raw, double[] vector, double[] left, double[] reached) {
        double total = 0;
        for (int at = 0; at < pulls.length; at++) {
            double before = (vector[at] - left[at]) * model.scale[at];
            double after = (vector[at] - reached[at]) * model.scale[at];
            pulls[at] = before * before - after * after;
            total += pulls[at];
        }
        count = 0;
        for (int at = 0; at < pulls.length && total > 0; at++) {
            if (pulls[at] > 0) {
                insert(at, pulls[at] / total);
            }
        }
        for (int place = 0; place < count; place++) {
            int at = feature[place];
            value[place] = raw[at];
            typical[place] = Model.invert(at, left[at]);
        }
    }

    private void insert(int at, double part) {
        int place = count;
        while (place > 0 && part > pull[place - 1]) {
            place--;
        }
        if (place == MOST) {
            return;
        }
        count = Math.min(count + 1, MOST);
        for (int behind = count - 1; behind > place; behind--) {
            feature[behind] = feature[behind - 1];
            pull[behind] = pull[behind - 1];
        }
        feature[place] = at;
        pull[place] = part;
    }
}
