// The sum that the gradient of a convolution in its weights is, for every kernel of it:
//
//   dw[o, c, kh, kw] = Σ over n, i, j of dy[n, o, i, j] · x[n, c, i·STRIDE_Y + kh·DILATION_Y − PAD_Y, … kw …]

const BATCH = 1u;
const GROUPS = 1u;
const INPUTS = 1u; // channels of x in one group
const OUTPUTS = 1u; // channels of dy in one group
const HEIGHT = 1;
const WIDTH = 1;
const OUT_HEIGHT = 1u;
const OUT_WIDTH = 1u;
const KERNEL_HEIGHT = 1u;
const KERNEL_WIDTH = 1u;
const STRIDE_Y = 1;
const STRIDE_X = 1;
const PAD_Y = 0;
const PAD_X = 0;
const DILATION_Y = 1;
const DILATION_X = 1;
