"""The exact types that a released scikit-learn model may be made of.

skops rebuilds objects by naming their types. A type on this list runs no code of a package when it is rebuilt; a type
that is not on it makes a model "studied only". A package is checked against this list by reading its schema as data,
before anything of it is loaded.
"""

from __future__ import annotations

_SKLEARN = """
_loss._loss.CyAbsoluteError _loss._loss.CyHalfPoissonLoss _loss._loss.CyHalfSquaredError _loss._loss.CyPinballLoss
_loss.link.IdentityLink _loss.link.Interval _loss.link.LogLink
_loss.loss.AbsoluteError _loss.loss.HalfPoissonLoss _loss.loss.HalfSquaredError _loss.loss.PinballLoss
compose._column_transformer.ColumnTransformer compose._target.TransformedTargetRegressor dummy.DummyRegressor
ensemble._bagging.BaggingRegressor ensemble._forest.ExtraTreesRegressor ensemble._forest.RandomForestRegressor
ensemble._gb.GradientBoostingRegressor ensemble._hist_gradient_boosting.binning._BinMapper
ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor
ensemble._hist_gradient_boosting.predictor.TreePredictor ensemble._voting.VotingRegressor
ensemble._weight_boosting.AdaBoostRegressor impute._base.SimpleImputer linear_model._base.LinearRegression
linear_model._bayes.BayesianRidge linear_model._coordinate_descent.ElasticNet linear_model._coordinate_descent.Lasso
linear_model._coordinate_descent.LassoCV linear_model._huber.HuberRegressor linear_model._ridge.Ridge
linear_model._ridge.RidgeCV linear_model._stochastic_gradient.SGDRegressor metrics._dist_metrics.EuclideanDistance64
neighbors._kd_tree.KDTree neighbors._regression.KNeighborsRegressor pipeline.Pipeline preprocessing._data.MaxAbsScaler
preprocessing._data.MinMaxScaler preprocessing._data.PowerTransformer preprocessing._data.QuantileTransformer
preprocessing._data.RobustScaler preprocessing._data.StandardScaler preprocessing._polynomial.PolynomialFeatures
preprocessing._polynomial.SplineTransformer svm._classes.SVR tree._classes.DecisionTreeRegressor
tree._classes.ExtraTreeRegressor tree._tree.Tree utils._bunch.Bunch
"""

SAFE_TYPES = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.str",
        "builtins.tuple",
        "builtins.slice",
        "numpy.dtype",
        "numpy.float64",
        "numpy.int64",
        "numpy.uint64",
        "numpy.ndarray",
        "numpy.random._generator.Generator",
        "numpy.random.mtrand.RandomState",
        "scipy.interpolate._bsplines.BSpline",
        *(f"sklearn.{name}" for name in _SKLEARN.split()),
    }
)

#: The kinds of node a package may have. Method, operator and function nodes could name anything, so there are none.
SAFE_NODES = frozenset(
    {
        "DTypeNode", "DictNode", "JsonNode", "ListNode", "LossNode", "NdArrayNode", "ObjectNode",
        "RandomGeneratorNode", "RandomStateNode", "TreeNode", "TupleNode", "TypeNode", "SliceNode",
    }
)  # fmt: skip
