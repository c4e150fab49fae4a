// The sum that a convolution computes, for every kernel of the forward pass and of the gradient in the input:
//
//   y[n, t, i, j] = Σ x[n, s, p, q] · w[t, s, kh, kw]     p = i·STRIDE_Y + kh·DILATION_Y − PAD_Y, q alike
//
// over the source channels s of t's group and the taps whose p, q lie inside x. The forward pass and the gradient in the
// input are both such sums: the gradient exchanges the roles of the channels and walks the taps backwards, and where the
// forward pass had strides, it is one sum for each remainder of i and j, over every so-manieth tap.

const BATCH = 1u;
const GROUPS = 1u;
const SOURCES = 1u; // channels of x in one group
const TARGETS = 1u; // channels of y in one group
const HEIGHT = 1;
const WIDTH = 1;
const OUT_HEIGHT = 1u; // rows and columns that this sum computes
const OUT_WIDTH = 1u;
const KERNEL_HEIGHT = 1u;
const KERNEL_WIDTH = 1u;
const STRIDE_Y = 1;
const STRIDE_X = 1;
const PAD_Y = 0; // may be negative
const PAD_X = 0;
const DILATION_Y = 1;
const DILATION_X = 1;
const GROUP_STEP = 1u; // from a group's weights to the next group's
const TARGET_STEP = 1u;
const SOURCE_STEP = 1u;
const FIRST_TAP = 0; // where tap (0, 0) lies within a kernel, and how far the next ones
const TAP_Y = 1;
const TAP_X = 1;
const FULL_HEIGHT = 1u; // of y, whose rows FIRST_Y, FIRST_Y + EVERY_Y, … this sum computes
const FULL_WIDTH = 1u;
const FIRST_Y = 0u;
const FIRST_X = 0u;
const EVERY_Y = 1u;
const EVERY_X = 1u;
