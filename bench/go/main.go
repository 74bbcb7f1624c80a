// A manager of controller-runtime, as its documentation shows it, with 32 objects at once. Usage: controller handle|event
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const mark = "bench.dev/handled"

type Widget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              WidgetSpec   `json:"spec,omitempty"`
	Status            WidgetStatus `json:"status,omitempty"`
}

type WidgetSpec struct {
	N     int      `json:"n"`
	Field string   `json:"field,omitempty"`
	Items []string `json:"items,omitempty"`
	Tick  int      `json:"tick,omitempty"`
	At    int64    `json:"at,omitempty"`
}

type WidgetStatus struct {
	Create *Handled `json:"create,omitempty"`
}

type Handled struct {
	N int `json:"n"`
}

type WidgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Widget `json:"items"`
}

func (in *Widget) DeepCopy() *Widget {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Spec.Items = append([]string(nil), in.Spec.Items...)
	if in.Status.Create != nil {
		handled := *in.Status.Create
		out.Status.Create = &handled
	}
	return &out
}

func (in *Widget) DeepCopyObject() runtime.Object { return in.DeepCopy() }

func (in *WidgetList) DeepCopyObject() runtime.Object {
	out := *in
	out.Items = make([]Widget, 0, len(in.Items))
	for i := range in.Items {
		out.Items = append(out.Items, *in.Items[i].DeepCopy())
	}
	return &out
}

type reconciler struct {
	client.Client
	handles bool
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var widget Widget
	if err := r.Get(ctx, request.NamespacedName, &widget); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.handles && widget.Status.Create != nil {
		return ctrl.Result{}, nil
	}
	called(widget.Spec.At)
	if !r.handles {
		return ctrl.Result{}, nil
	}
	before := widget.DeepCopy()
	widget.Status.Create = &Handled{N: widget.Spec.N}
	metav1.SetMetaDataAnnotation(&widget.ObjectMeta, mark, "yes")
	return ctrl.Result{}, r.Patch(ctx, &widget, client.MergeFrom(before))
}

var (
	calls, last atomic.Int64
	mutex       sync.Mutex
	delays      []int64
)

func called(at int64) {
	now := time.Now().UnixMicro()
	calls.Add(1)
	last.Store(now)
	if at != 0 {
		mutex.Lock()
		delays = append(delays, now-at)
		mutex.Unlock()
	}
}

// report tells the stopwatch what was done; see ../tally/src/lib.rs.
func report(path string) {
	for told := int64(-1); ; time.Sleep(250 * time.Millisecond) {
		if calls.Load() == told {
			continue
		}
		told = calls.Load()
		mutex.Lock()
		text := strings.Trim(fmt.Sprint(append([]int64{told, last.Load()}, delays...)), "[]")
		mutex.Unlock()
		if os.WriteFile(path+".new", []byte(text), 0o644) == nil {
			_ = os.Rename(path+".new", path)
		}
	}
}

func main() {
	ctrl.SetLogger(zap.New())
	scheme, version := runtime.NewScheme(), schema.GroupVersion{Group: "bench.dev", Version: "v1"}
	scheme.AddKnownTypes(version, &Widget{}, &WidgetList{})
	metav1.AddToGroupVersion(scheme, version)
	manager, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme:  scheme,
		Metrics: server.Options{BindAddress: "0"},
	})
	if err == nil {
		err = ctrl.NewControllerManagedBy(manager).For(&Widget{}).
			WithOptions(controller.Options{MaxConcurrentReconciles: 32}).
			Complete(&reconciler{manager.GetClient(), os.Args[1] == "handle"})
	}
	if err == nil {
		go report(os.Getenv("BENCH_TALLY"))
		err = manager.Start(ctrl.SetupSignalHandler())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
